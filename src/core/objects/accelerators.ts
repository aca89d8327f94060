/** What of a pod's requests are accelerators. Which resources are accelerators is configured. */
import type { PodTemplate } from './model.ts';

/** Whether a resource is an accelerator. */
export type IsAccelerator = (resource: string) => boolean;

export function requestsAccelerator({ requests }: PodTemplate, isAccelerator: IsAccelerator): boolean {
  return requests.some(({ name }) => isAccelerator(name));
}

/** Accelerators of all kinds together. */
export function sumAccelerators({ requests }: PodTemplate, isAccelerator: IsAccelerator): number {
  let sum = 0;
  for (const { name, amount } of requests) if (isAccelerator(name)) sum += amount;
  return sum;
}
