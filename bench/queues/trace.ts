/** Reads the jobs of a trace: tenant, submission, run time and GPUs (test/data/philly). */

export const NODE_GPUS = 8;

/** Times are milliseconds since the start of the trace. */
export interface Job {
  readonly key: string;
  /** The job's virtual cluster. */
  readonly tenant: string;
  readonly submittedAt: number;
  readonly durationMs: number;
  readonly pods: number;
  /** GPUs per pod. */
  readonly gpus: number;
}

export function gpusOf({ pods, gpus }: Job): number {
  return pods * gpus;
}

const HEADER = 'submit_s,duration_s,num_gpus,vc';

/**
 * The jobs in the order of submission.
 * @param scale GPUs per GPU of the trace.
 * @throws Error that names the malformed line.
 */
export function readTrace(text: string, scale = 1): readonly Job[] {
  const [header, ...lines] = text.trim().split(/\r?\n/);
  if (header !== HEADER)
    throw new Error(`expected a trace with the header "${HEADER}", found "${header?.slice(0, 80)}"`);
  const jobs = lines.map((line, i) => {
    const [submit, duration, gpus, tenant, ...rest] = line.split(',');
    const numbers = [submit, duration, gpus].map((cell) => (/^\d+$/.test(cell ?? '') ? Number(cell) : Number.NaN));
    if (numbers.some(Number.isNaN) || numbers[2] === 0 || !tenant || rest.length > 0) {
      throw new Error(`expected "${HEADER}" in line ${i + 2} of the trace, found "${line}"`);
    }
    const [submitSeconds, seconds, size] = numbers as [number, number, number];
    return {
      key: `${tenant}/job-${i}`,
      tenant,
      submittedAt: submitSeconds * 1000,
      durationMs: seconds * 1000,
      ...divide(size * scale),
    };
  });
  return jobs.sort((a, b) => a.submittedAt - b.submittedAt);
}

/** As few equal pods as possible; if the GPUs do not divide evenly, each pod is rounded up. */
function divide(gpus: number): { readonly pods: number; readonly gpus: number } {
  const pods = Math.ceil(gpus / NODE_GPUS);
  return { pods, gpus: Math.ceil(gpus / pods) };
}

/** GPU-seconds of each tenant in the whole trace. */
export function readGpuTime(text: string): ReadonlyMap<string, number> {
  const [, ...lines] = text.trim().split('\n');
  return new Map(
    lines.map((line) => {
      const [tenant, , seconds] = line.split(',');
      return [tenant!, Number(seconds)];
    }),
  );
}
