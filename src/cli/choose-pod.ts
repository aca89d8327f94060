/** Which pod and port of a Service to connect to. */

/** The fields of a Service that are read. */
export interface SeenService {
  readonly spec?: {
    readonly selector?: Readonly<Record<string, string>>;
    readonly ports?: readonly {
      readonly name?: string;
      readonly port: number;
      readonly targetPort?: number | string;
    }[];
  };
}

/** The fields of a Pod that are read. */
export interface SeenPod {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly spec?: {
    readonly containers?: readonly {
      readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
    }[];
  };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** The Service's selector as a query has it. */
export function selectorOf({ spec }: SeenService): string {
  return Object.entries(spec?.selector ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** One that is Ready: of several replicas it is the one that decides. Of two, one that does not leave. */
export function choosePod(pods: readonly SeenPod[]): SeenPod | undefined {
  const isReady = ({ status }: SeenPod) =>
    status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;
  const ready = pods.filter(isReady);
  return ready.find(({ metadata }) => metadata.deletionTimestamp === undefined) ?? ready[0];
}

/** The port of the pod behind the Service's port `inspect`, or `https`, or its first one. */
export function portOf({ spec }: SeenService, pod: SeenPod): number | undefined {
  const ports = spec?.ports ?? [];
  const named = (wanted: string) => ports.find(({ name }) => name === wanted);
  const chosen = named('inspect') ?? named('https') ?? ports[0];
  if (chosen === undefined) return undefined;
  const { port, targetPort = port } = chosen;
  if (typeof targetPort === 'number') return targetPort;
  const own = pod.spec?.containers?.flatMap((container) => container.ports ?? []);
  return own?.find(({ name }) => name === targetPort)?.containerPort;
}
