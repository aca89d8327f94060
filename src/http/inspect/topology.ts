/**
 * The read-only API for topology, `GET /v1/topology`: the domains with their free capacity, and the findings of the
 * linter.
 */
import { Hono } from 'hono';
import { cutText } from '../../core/objects/text-values.ts';
import type { PlanPolicy } from '../../core/placement/gang-request.ts';
import {
  type ClusterReport,
  type LevelReport,
  reportDomains,
  reportLevels,
} from '../../core/placement/topology-report.ts';
import { explainFinding } from '../../core/reasons/explain-finding.ts';
import type { Snapshot } from '../../core/snapshot/snapshot.ts';
import { type Drift, isWarning, type TopologyFinding } from '../../core/topology/finding.ts';
import { lintTopology } from '../../core/topology/lint.ts';
import type { SchedulerView } from '../../gang/framework/ports.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { type Access, answerRefusal } from '../access/access.ts';

/** A finding as data and as one sentence. */
export type FindingItem = TopologyFinding & {
  /** True when the operator should act on it; otherwise it is for information only. */
  readonly warning: boolean;
  readonly text: string;
};

/** The answer to `GET /v1/topology`. */
export interface TopologyReport extends ClusterReport {
  /** From the outermost to the innermost; hosts come last. */
  readonly levels: readonly LevelReport[];
  /** `topology.policy` from the configuration. */
  readonly policy: string;
  readonly findings: readonly FindingItem[];
  /** The number of nodes that changed domains since Muster started, and the latest such change (null: none). */
  readonly drift: { readonly nodes: number; readonly last: Drift['last'] | null };
}

export interface InspectorParts {
  readonly scheduler: Pick<SchedulerView, 'snapshot' | 'occupied' | 'drift'>;
  readonly policy: PlanPolicy;
  /** False until the whole cluster is known; a partial view would look as if labels were missing. */
  readonly isReady: () => boolean;
}

export class TopologyInspector {
  readonly #parts: InspectorParts;
  /** The linter reads every node, so it runs once per node set and not once per probe. */
  #linted: { readonly of: Snapshot['nodes']; readonly findings: readonly TopologyFinding[] } | undefined;

  constructor(parts: InspectorParts) {
    this.#parts = parts;
  }

  /** Undefined until the whole cluster is known. */
  report(withHosts: boolean): TopologyReport | undefined {
    const { scheduler, policy, isReady } = this.#parts;
    if (!isReady()) return undefined;
    const snapshot = scheduler.occupied();
    const { nodes, last = null } = scheduler.drift;
    return {
      levels: reportLevels(snapshot.topology),
      policy: policy.score,
      findings: this.#lint(snapshot).map((finding) => ({
        ...finding,
        warning: isWarning(finding),
        text: explainFinding(finding),
      })),
      drift: { nodes, last },
      ...reportDomains(snapshot, policy, withHosts),
    };
  }

  /** Findings about labels that need action, one line each; empty until the whole cluster is known. */
  warnings(): readonly string[] {
    const { scheduler, isReady } = this.#parts;
    if (!isReady()) return [];
    const findings = this.#lint(scheduler.snapshot()).filter(isWarning);
    return findings.map((finding) => `${finding.kind}: ${explainFinding(finding)}`);
  }

  /** Updates the gauges; leaves them as they are until the whole cluster is known. */
  measure({ topologyDomains, topologyDriftedNodes, topologyFindings }: Metrics): void {
    const { scheduler, isReady } = this.#parts;
    if (!isReady()) return;
    const snapshot = scheduler.snapshot();
    topologyDomains.reset();
    for (const { name, domains } of reportLevels(snapshot.topology)) topologyDomains.set({ level: name }, domains);
    topologyDriftedNodes.set(scheduler.drift.nodes);
    topologyFindings.reset();
    for (const finding of this.#lint(snapshot).filter(isWarning)) {
      topologyFindings.inc({ kind: finding.kind, level: levelOf(finding) });
    }
  }

  #lint({ nodes, byName, topology }: Snapshot): readonly TopologyFinding[] {
    if (this.#linted?.of !== nodes) {
      const { policy, scheduler } = this.#parts;
      const live = byName.map((node) => nodes[node]!);
      const { scheme } = topology;
      const findings = lintTopology({
        scheme,
        nodes: live,
        isAccelerator: policy.isAccelerator,
        drift: scheduler.drift,
      });
      this.#linted = { of: nodes, findings };
    }
    return this.#linted.findings;
  }
}

export function createTopologyApp(inspector: TopologyInspector, access: Pick<Access, 'refuseNodes'>): Hono {
  const app = new Hono();
  app.get('/v1/topology', async (c) => {
    const refusal = await access.refuseNodes(c);
    if (refusal) return answerRefusal(c, refusal);
    const hosts = c.req.query('hosts') ?? 'false';
    if (hosts !== 'true' && hosts !== 'false') {
      return c.json({ error: `hosts: expected true or false, found ${JSON.stringify(cutText(hosts))}` }, 400);
    }
    const report = inspector.report(hosts === 'true');
    if (report) return c.json(report);
    return c.json({ error: 'not ready yet: the cluster is being read; see /readyz?verbose' }, 503);
  });
  return app;
}

/** The level of a finding; '' if it concerns no level, or more than levels. */
function levelOf(finding: TopologyFinding): string {
  if ('level' in finding) return finding.level.name;
  return finding.kind === 'inverted-levels' ? finding.inner.name : '';
}
