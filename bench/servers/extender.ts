/**
 * Muster's own server and app over the real parts and the benchmark's cluster. Before each call a pod starts or ends,
 * as between two calls of a busy kube-scheduler, so the call includes the refresh of the snapshot.
 *
 * Usage: node extender.ts <slots reserved>
 */

import { gangKey } from '../../src/core/podgroup/gang.ts';
import { NO_LEVELS } from '../../src/core/podgroup/plan-record.ts';
import { adoptSlot } from '../../src/gang/state/slot.ts';
import { directPaths } from '../../src/http/app.ts';
import { startServer } from '../../src/http/server/server.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { readRecording } from '../../test/contract/recording.ts';
import { assembleApp } from '../../test/support/assembled-app.ts';
import { aPod, aTemplate } from '../../test/support/builders.ts';
import { Random } from '../random.ts';
import { MEMBER_NODE } from '../scenarios/calls.ts';
import { clusterNodes, clusterPods, LEVELS, NODES, nodeNameAt } from '../scenarios/cluster.ts';

const slots = Number(process.argv[2]);
const { app, state, projector, reservations, recover } = assembleApp(LEVELS);
for (const node of clusterNodes()) state.nodes.applied(node, undefined);
for (const pod of clusterPods()) state.pods.applied(pod, undefined);
// The watch shows pods to Muster as to kube-scheduler.
const seen = ['filter-lone-pod', 'filter-waiting-member', 'prioritize-lone-pod'] as const;
for (const call of seen) {
  state.pods.applied(projector.project(JSON.parse(readRecording(call).body).Pod), undefined);
}
recover();

const member = projector.project(JSON.parse(readRecording('filter-nominated-member').body).Pod);
for (let i = 0; i < slots; i++) {
  const pod = i === 0 ? member : aPod({ name: `member-${i}`, template: member.template });
  const node = i === 0 ? MEMBER_NODE : nodeNameAt((i * 10 + 3) % NODES);
  const decided = {
    pod,
    gang: gangKey('default', 'bench'),
    node,
    plan: 'bench',
    levels: NO_LEVELS,
    attempt: 1,
    since: 0,
  };
  reservations.assume(adoptSlot(decided, 'nominated'));
}

const random = new Random(4);
const template = aTemplate({ gpus: 0 });
let running = aPod({ name: 'batch', nodeName: nodeNameAt(0), template });
let runs = false;
function changeCluster(): void {
  if (runs) state.pods.deleted(running);
  else {
    running = aPod({ name: 'batch', nodeName: nodeNameAt(random.below(NODES)), template });
    state.pods.applied(running, undefined);
  }
  runs = !runs;
}

const server = await startServer({
  fetch: (request, env) => {
    changeCluster();
    return app.fetch(request, env);
  },
  directPaths,
  bindAddress: '127.0.0.1',
  port: 0,
  isListed: () => false,
  onRefusedConnection: () => {},
  maxConnections: 10_000,
  drainDelayMs: 0,
  logger: createLogger({ verbosity: 0, write: () => {}, now: Date.now }),
});
process.send?.(server.port);
process.once('disconnect', () => process.exit());
