/**
 * Who may call what. With a client CA:
 *
 * - decisions (filter, prioritize, preempt, bind): certificates of the names in `server.callers.decisions`;
 * - the inspect API: certificates of the names in `server.callers.inspect` see everything; a bearer token shows what its
 *   user may list in the cluster;
 * - metrics: certificates of the names in `server.callers.metrics`, and tokens whose user may get the path `/metrics`;
 * - details of `/readyz`: certificates of any listed name, and tokens whose user may list nodes.
 *
 * A certificate of the CA alone permits nothing: the CA of a cluster signs those of all its users. Without a client CA
 * everything is open; `serve` refuses to listen where others reach it then.
 *
 * Each route asks here itself. A check of paths before the routes would have to decode a path exactly as the router does.
 */
import type { Context } from 'hono';
import type { Clock } from '../../core/objects/clock.ts';
import { cutText } from '../../core/objects/text-values.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { RefusedCall } from '../../telemetry/outcomes.ts';
import type { Peer } from './peer.ts';
import { type AccessQuestion, ReviewError, type Reviewer, type TokenUser } from './reviewer.ts';
import { fullSight, type Sight, sightOfNamespaces } from './sight.ts';

/** Names in certificates; see `server.callers`. */
export interface CallerNames {
  readonly decisions: readonly string[];
  readonly inspect: readonly string[];
  readonly metrics: readonly string[];
}

export type Role = keyof CallerNames;

/** Why a call is not answered, and how the answer says so. */
export interface Refusal {
  readonly reason: RefusedCall;
  readonly status: 400 | 401 | 403 | 503;
  readonly text: string;
}

export interface AccessParts {
  readonly callers: CallerNames;
  readonly reviewer: Reviewer;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Pick<Clock, 'now'>;
}

/** What the server tells of a request beside the request itself. */
export interface CallerEnv {
  readonly peer: Peer;
  readonly incoming: {
    readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
    readonly socket?: { readonly remoteAddress?: string | undefined };
  };
}

/** Namespaces in one question: each costs the API server one. */
const MAX_NAMESPACES = 16;
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** Refusals are logged at most this often: a stranger must not fill the log. */
const LOG_EVERY_MS = 1_000;

export class Access {
  readonly #names: Readonly<Record<Role, ReadonlySet<string>>>;
  readonly #parts: AccessParts;
  /** Peers of which a refusal was logged. */
  readonly #logged = new WeakSet<Peer>();
  #lastLogged = Number.NEGATIVE_INFINITY;

  constructor(parts: AccessParts) {
    const { decisions, inspect, metrics } = parts.callers;
    this.#names = { decisions: new Set(decisions), inspect: new Set(inspect), metrics: new Set(metrics) };
    this.#parts = parts;
  }

  /** Whether the certificate names a caller of any role. */
  isListed(peer: Peer): boolean {
    return this.#has(peer, 'decisions') || this.#has(peer, 'inspect') || this.#has(peer, 'metrics');
  }

  /** Undefined when the caller may ask for decisions. */
  refuseDecision(c: Context): Refusal | undefined {
    const { peer, headers } = readEnv(c);
    if (peer.kind === 'open' && headers.origin !== undefined) {
      // The one caller on the loopback address that its user did not start: any page may send a simple POST there.
      const text = 'expected kube-scheduler, found a web page in a browser: the request has an Origin header';
      return this.#refuse(peer, { reason: 'browser', status: 403, text });
    }
    if (this.#permits(peer, 'decisions')) return undefined;
    const remedy =
      peer.kind === 'certificate'
        ? 'if this is kube-scheduler, add its name to server.callers.decisions'
        : 'set tlsConfig.certFile and keyFile of the extender entry';
    return this.#refuse(peer, refusalOf(peer, 'decisions', remedy));
  }

  /** What the caller may see of gangs and queues. @param namespaces those it asks for; none: all of them. */
  async sightOf(c: Context, namespaces: readonly string[]): Promise<Sight | Refusal> {
    const { peer } = readEnv(c);
    const unreadable = namespaces.find((name) => !NAMESPACE.test(name));
    if (unreadable !== undefined || namespaces.length > MAX_NAMESPACES) {
      const found = unreadable === undefined ? `${namespaces.length} of them` : JSON.stringify(cutText(unreadable));
      const text = `expected namespace to be a name, at most ${MAX_NAMESPACES} times, found ${found}`;
      return this.#refuse(peer, { reason: 'malformed', status: 400, text });
    }
    const list = (namespace: string): AccessQuestion => ({ kind: 'list', resource: 'pods', namespace });
    if (this.#permits(peer, 'inspect')) {
      return namespaces.length === 0 ? fullSight : sightOfNamespaces(namespaces, true);
    }
    return this.#asUser(c, 'inspect', async (user, ask) => {
      if (await ask(list(''))) return namespaces.length === 0 ? fullSight : sightOfNamespaces(namespaces, true);
      if (namespaces.length === 0) {
        return `user ${cutText(user.username)} may not list pods in all namespaces; ask for one: ?namespace=NAME`;
      }
      for (const namespace of namespaces) {
        if (!(await ask(list(namespace)))) {
          return `user ${cutText(user.username)} may not list pods in namespace ${namespace}`;
        }
      }
      return sightOfNamespaces(namespaces, false);
    });
  }

  /** Undefined when the caller may see nodes. */
  async refuseNodes(c: Context): Promise<Refusal | undefined> {
    const { peer } = readEnv(c);
    if (this.#permits(peer, 'inspect')) return undefined;
    const question: AccessQuestion = { kind: 'list', resource: 'nodes', namespace: '' };
    const seen = await this.#asUser(c, 'inspect', async (user, ask) =>
      (await ask(question)) ? true : `user ${cutText(user.username)} may not list nodes`,
    );
    return seen === true ? undefined : seen;
  }

  /** Undefined when the caller may read the metrics. */
  async refuseMetrics(c: Context): Promise<Refusal | undefined> {
    const { peer } = readEnv(c);
    if (this.#permits(peer, 'metrics')) return undefined;
    const seen = await this.#asUser(c, 'metrics', async (user, ask) =>
      (await ask({ kind: 'get-path', path: '/metrics' }))
        ? true
        : `user ${cutText(user.username)} may not get the path /metrics (nonResourceURLs of a ClusterRole)`,
    );
    return seen === true ? undefined : seen;
  }

  /** Whether the caller may see what `/readyz` tells of nodes and queues. */
  async seesDetails(c: Context): Promise<boolean> {
    const { peer } = readEnv(c);
    if (peer.kind === 'open' || this.isListed(peer)) return true;
    return readToken(c) !== undefined && (await this.refuseNodes(c)) === undefined;
  }

  #permits(peer: Peer, role: Role): boolean {
    return peer.kind === 'open' || this.#has(peer, role);
  }

  #has(peer: Peer, role: Role): boolean {
    return peer.kind === 'certificate' && peer.names.some((name) => this.#names[role].has(name));
  }

  /** Judges the user of the bearer token; `judge` says what the user may see, or why not. */
  async #asUser<T extends object | true>(
    c: Context,
    role: Role,
    judge: (user: TokenUser, ask: (question: AccessQuestion) => Promise<boolean>) => Promise<T | string>,
  ): Promise<T | Refusal> {
    const { reviewer } = this.#parts;
    const { peer, address } = readEnv(c);
    const token = readToken(c);
    if (token === undefined) {
      return this.#refuse(peer, refusalOf(peer, role, 'or send a bearer token: Authorization: Bearer TOKEN'));
    }
    try {
      const user = await reviewer.identify(token, address);
      if (!user) {
        const text = 'expected a bearer token of the cluster, found one that is not valid; get a new one';
        return this.#refuse(peer, { reason: 'bad-token', status: 401, text });
      }
      const seen = await judge(user, (question) => reviewer.isAllowed(user, question));
      return typeof seen === 'string' ? this.#refuse(peer, { reason: 'forbidden', status: 403, text: seen }) : seen;
    } catch (error) {
      if (!(error instanceof ReviewError)) throw error;
      return this.#refuse(peer, { reason: 'not-reviewed', status: 503, text: `rights unknown: ${error.message}` });
    }
  }

  #refuse(peer: Peer, refusal: Refusal): Refusal {
    const { log, metrics, clock } = this.#parts;
    metrics.refusedCalls.inc({ reason: refusal.reason });
    const now = clock.now();
    if (!this.#logged.has(peer) && now - this.#lastLogged >= LOG_EVERY_MS) {
      this.#logged.add(peer);
      this.#lastLogged = now;
      log.warn('call refused', { reason: refusal.reason, found: refusal.text });
    }
    return refusal;
  }
}

function refusalOf(peer: Peer, role: Role, remedy: string): Refusal {
  if (peer.kind === 'certificate') {
    const found = `one for CN ${JSON.stringify(cutText(peer.commonName))}`;
    const text = `expected the certificate of a caller in server.callers.${role}, found ${found}; ${remedy}`;
    return { reason: 'unlisted', status: 403, text };
  }
  const found = peer.kind === 'stranger' ? peer.found : 'none';
  const text = `expected a certificate that server.tls.clientCaFile verifies, found ${found}; ${remedy}`;
  // 401 tells a client to authenticate, which kube-scheduler's cannot be told.
  return { reason: 'no-certificate', status: role === 'decisions' ? 403 : 401, text };
}

/** Who calls is known from the server alone: without one in between, it is nobody. */
function readEnv(c: Context): {
  readonly peer: Peer;
  readonly headers: CallerEnv['incoming']['headers'];
  readonly address: string;
} {
  const { peer, incoming } = (c.env ?? {}) as Partial<CallerEnv>;
  return { peer: peer ?? NOBODY, headers: incoming?.headers ?? {}, address: incoming?.socket?.remoteAddress ?? '' };
}

const NOBODY: Peer = { kind: 'stranger', found: 'none' };

function readToken(c: Context): string | undefined {
  const header = readEnv(c).headers.authorization;
  return typeof header === 'string' ? /^Bearer +(\S+) *$/i.exec(header)?.[1] : undefined;
}

/** The answer to a refused call of the inspect API or of the metrics. */
export function answerRefusal(c: Context, { status, text }: Refusal): Response {
  return c.json({ error: text }, status);
}

/** Tells a refusal from what was asked for. */
export function isRefusal(value: object): value is Refusal {
  return 'reason' in value && 'status' in value;
}
