/** Whether this Node can run Muster. The file itself must run on older ones. */

const NEEDED = [22, 19] as const;

/** Says what to do; undefined: it can. @param version such as `22.19.0`. */
export function findNodeProblem(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) return undefined;
  return `expected Node ${NEEDED.join('.')} or newer, found ${version}; install a newer Node, or use the image`;
}
