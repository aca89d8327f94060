/** The fabric as Muster sees it: domains with what is free, and what the linter finds. Read only. */
import { Hono } from 'hono';
import { explainFinding } from '../core/explain-finding.ts';
import type { PlanPolicy } from '../core/gang-request.ts';
import { type Snapshot, withOccupants } from '../core/snapshot.ts';
import { type Drift, isWarning, type TopologyFinding } from '../core/topology-finding.ts';
import { lintTopology } from '../core/topology-lint.ts';
import { type ClusterReport, type LevelReport, reportDomains, reportLevels } from '../core/topology-report.ts';
import { listOccupants } from '../gang/occupancy.ts';
import type { ClusterView } from '../gang/parts.ts';
import type { Reservations } from '../gang/reservations.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** A finding as data and as one sentence. */
export type FindingItem = TopologyFinding & {
  /** Something is to be done; without it the finding is only to be known. */
  readonly warning: boolean;
  readonly text: string;
};

/** What `GET /v1/topology` answers. */
export interface TopologyReport extends ClusterReport {
  /** Outer to inner, the hosts last. */
  readonly levels: readonly LevelReport[];
  /** `topology.policy` of the configuration. */
  readonly policy: string;
  readonly findings: readonly FindingItem[];
  /** Nodes that changed domains since Muster started, and the last such change (null: none). */
  readonly drift: { readonly nodes: number; readonly last: Drift['last'] | null };
}

export interface InspectorParts {
  readonly view: Pick<ClusterView, 'snapshot' | 'strangers'> & { readonly drift: Drift };
  readonly reservations: Reservations;
  readonly policy: PlanPolicy;
  /** False until the whole cluster is known: half of it would look as if labels were missing. */
  readonly isReady: () => boolean;
}

export class TopologyInspector {
  readonly #parts: InspectorParts;
  /** The linter looks at every node: it runs once for each node set, not for each probe. */
  #linted: { readonly of: Snapshot['nodes']; readonly findings: readonly TopologyFinding[] } | undefined;

  constructor(parts: InspectorParts) {
    this.#parts = parts;
  }

  /** Undefined until the whole cluster is known. */
  report(withHosts: boolean): TopologyReport | undefined {
    const { view, reservations, policy, isReady } = this.#parts;
    if (!isReady()) return undefined;
    const snapshot = view.snapshot();
    const occupants = listOccupants(snapshot, reservations, view.strangers(), new Set());
    const { nodes, last = null } = view.drift;
    return {
      levels: reportLevels(snapshot.topology),
      policy: policy.score,
      findings: this.#lint(snapshot).map((finding) => ({
        ...finding,
        warning: isWarning(finding),
        text: explainFinding(finding),
      })),
      drift: { nodes, last },
      ...reportDomains(withOccupants(snapshot, occupants), policy, withHosts),
    };
  }

  /** What is to be done about the labels, one line each; nothing until the whole cluster is known. */
  warnings(): readonly string[] {
    const { view, isReady } = this.#parts;
    if (!isReady()) return [];
    const findings = this.#lint(view.snapshot()).filter(isWarning);
    return findings.map((finding) => `${finding.kind}: ${explainFinding(finding)}`);
  }

  /** Brings the gauges up to date; until the whole cluster is known they stay as they are. */
  measure({ topologyDomains, topologyDriftedNodes, topologyFindings }: Metrics): void {
    const { view, isReady } = this.#parts;
    if (!isReady()) return;
    const snapshot = view.snapshot();
    topologyDomains.reset();
    for (const { name, domains } of reportLevels(snapshot.topology)) topologyDomains.set({ level: name }, domains);
    topologyDriftedNodes.set(view.drift.nodes);
    topologyFindings.reset();
    for (const finding of this.#lint(snapshot).filter(isWarning)) {
      topologyFindings.inc({ kind: finding.kind, level: levelOf(finding) });
    }
  }

  #lint({ nodes, byName, topology }: Snapshot): readonly TopologyFinding[] {
    if (this.#linted?.of !== nodes) {
      const { policy, view } = this.#parts;
      const live = byName.map((node) => nodes[node]!);
      const { scheme } = topology;
      const findings = lintTopology({ scheme, nodes: live, isAccelerator: policy.isAccelerator, drift: view.drift });
      this.#linted = { of: nodes, findings };
    }
    return this.#linted.findings;
  }
}

export function createTopologyApp(inspector: TopologyInspector): Hono {
  const app = new Hono();
  app.get('/v1/topology', (c) => {
    const hosts = c.req.query('hosts') ?? 'false';
    if (hosts !== 'true' && hosts !== 'false') {
      return c.json({ error: `hosts: expected true or false, found "${hosts}"` }, 400);
    }
    const report = inspector.report(hosts === 'true');
    if (report) return c.json(report);
    return c.json({ error: 'not ready yet: the cluster is being read; see /readyz?verbose' }, 503);
  });
  return app;
}

/** The level a finding is about; '' for one that is about none, or about more than levels. */
function levelOf(finding: TopologyFinding): string {
  if ('level' in finding) return finding.level.name;
  return finding.kind === 'inverted-levels' ? finding.inner.name : '';
}
