/** CPU time of the programs this process started, on Linux: who is busy while everybody waits. */
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks a second in /proc/<pid>/stat, on every Linux of today. */
const TICKS = 100;

/** Seconds in user and kernel mode so far, by program; programs of one name are added up. */
export function readCpuTimes(): ReadonlyMap<string, number> {
  const times = new Map<string, number>([['bench', (process.cpuUsage().user + process.cpuUsage().system) / 1e6]]);
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const stat = readStat(pid);
    if (stat === undefined) continue;
    // The name is in parentheses and may contain anything; the fields follow the last one.
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [parent, user, system] = [fields[1], Number(fields[11]), Number(fields[12])];
    if (Number(parent) === process.pid) times.set(name, (times.get(name) ?? 0) + (user + system) / TICKS);
  }
  return times;
}

/** Undefined when the process has ended meanwhile. */
function readStat(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
}
