/** CPU time of the programs started by this process, on Linux. */
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks per second in /proc/<pid>/stat, the same on all current Linux systems. */
const TICKS = 100;

/** User and kernel CPU seconds so far, by program; programs of the same name are summed. */
export function readCpuTimes(): ReadonlyMap<string, number> {
  const times = new Map<string, number>([['bench', (process.cpuUsage().user + process.cpuUsage().system) / 1e6]]);
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const stat = readStat(pid);
    if (stat === undefined) continue;
    // The name is in parentheses and may contain any character; the fields follow the last parenthesis.
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [parent, user, system] = [fields[1], Number(fields[11]), Number(fields[12])];
    if (Number(parent) === process.pid) times.set(name, (times.get(name) ?? 0) + (user + system) / TICKS);
  }
  return times;
}

/** Undefined when the process has ended in the meantime. */
function readStat(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
}
