/** Counts what a pod requests of accelerators. Which resources are accelerators is configured. O(requests). */
import type { PodTemplate } from './model.ts';

/** Whether the resource is an accelerator. */
export type IsAccelerator = (resource: string) => boolean;

export function requestsAccelerator({ requests }: PodTemplate, isAccelerator: IsAccelerator): boolean {
  return requests.some(({ name }) => isAccelerator(name));
}

/** The sum over all kinds of accelerators. */
export function sumAccelerators({ requests }: PodTemplate, isAccelerator: IsAccelerator): number {
  let sum = 0;
  for (const { name, amount } of requests) if (isAccelerator(name)) sum += amount;
  return sum;
}
