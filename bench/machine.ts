/** The load of other processes on the machine: figures from a busy machine are upper bounds. */
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

/** Percentage of all cores that is busy during the next second; call it while the benchmark itself is idle. */
export async function measureForeignLoad(): Promise<number> {
  const before = readTimes();
  await delay(1_000);
  const after = readTimes();
  return Math.round((100 * (after.busy - before.busy)) / (after.all - before.all));
}

export function describeMachine(): string {
  const [first] = cpus();
  return `${cpus().length} cores of ${first?.model ?? 'an unknown kind'}, Node ${process.versions.node}`;
}

function readTimes(): { readonly busy: number; readonly all: number } {
  let busy = 0;
  let all = 0;
  for (const { times } of cpus()) {
    const { user, nice, sys, irq, idle } = times;
    busy += user + nice + sys + irq;
    all += user + nice + sys + irq + idle;
  }
  return { busy, all };
}
