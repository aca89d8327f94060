/**
 * The cost of extender calls, which block kube-scheduler's loop: every kind of call to Muster's real server and app,
 * assembled in one process, against a bare echo. `load-http` measures the same for a whole Muster under load.
 */
import { measureAgainstEcho, startSide, stopSide } from './against-echo.ts';
import type { BenchResult, Progress } from './result.ts';
import { bodyOf, callCases } from './scenarios/calls.ts';

export async function run(progress: Progress): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = [];
  const echo = await startSide('echo.ts');
  // One Muster for all cases with the same reservations.
  for (const slots of new Set(callCases.map((callCase) => callCase.slots))) {
    const muster = await startSide('extender.ts', String(slots));
    for (const callCase of callCases.filter((other) => other.slots === slots)) {
      progress(`filter ${results.length / 2 + 1}/${callCases.length}: ${callCase.name}`);
      const echoCase = { ...callCase, body: bodyOf(callCase) };
      results.push(...(await measureAgainstEcho(echoCase, muster.client, echo.client)));
    }
    await stopSide(muster);
  }
  await stopSide(echo);
  return results;
}
