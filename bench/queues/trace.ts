/** The jobs of a trace: who submitted them when, how long they run and how many GPUs they have (test/data/philly). */
export const NODE_GPUS = 8;

/** Times are milliseconds since the start of the trace. */
export interface Job {
  readonly key: string;
  /** Its virtual cluster. */
  readonly tenant: string;
  readonly submittedAt: number;
  readonly durationMs: number;
  readonly pods: number;
  /** Of each pod. */
  readonly gpus: number;
}

export function gpusOf({ pods, gpus }: Job): number {
  return pods * gpus;
}

const HEADER = 'submit_s,duration_s,num_gpus,vc';

/**
 * In the order of submission.
 * @param scale GPUs for each one of the trace.
 * @throws an error that says which line is none of a trace.
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

/** As few pods as possible, as equal as possible: a gang that does not divide evenly gets whole GPUs more. */
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
