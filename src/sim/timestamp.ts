/** A time as API objects carry it: whole seconds (apimachinery `metav1.Time`). */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
