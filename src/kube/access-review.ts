/** TokenReview and SubjectAccessReview: who holds a bearer token, and what they may do. */
import type { ApiClient } from './client.ts';
import type { ApiResponse } from './transport.ts';

/** A caller waits for the answer. */
const TIMEOUT_MS = 5_000;

interface ReviewedUser {
  readonly username: string;
  readonly uid?: string | undefined;
  readonly groups?: readonly string[] | undefined;
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined;
}

type ReviewedAccess =
  | { readonly kind: 'list'; readonly resource: string; readonly namespace: string }
  | { readonly kind: 'get-path'; readonly path: string };

/** The fields of the answers that are read. */
interface ReviewBody {
  readonly message?: string;
  readonly status?: {
    readonly authenticated?: boolean;
    readonly user?: Partial<ReviewedUser>;
    readonly allowed?: boolean;
    readonly denied?: boolean;
  };
}

export class AccessReviews {
  readonly #api: Pick<ApiClient, 'request'>;

  constructor(api: Pick<ApiClient, 'request'>) {
    this.#api = api;
  }

  /**
   * The user of a token that is meant for the API server; undefined when it is not valid.
   * @throws Error when the API server does not say.
   */
  async reviewToken(token: string): Promise<ReviewedUser | undefined> {
    const { status } = await this.#review('authentication', 'TokenReview', { token });
    const { username, uid, groups, extra } = status?.user ?? {};
    if (status?.authenticated !== true || typeof username !== 'string' || username === '') return undefined;
    return { username, uid, groups, extra };
  }

  /** @throws Error when the API server does not say. */
  async reviewAccess({ username, ...user }: ReviewedUser, access: ReviewedAccess): Promise<boolean> {
    const attributes =
      access.kind === 'list'
        ? { resourceAttributes: { verb: 'list', resource: access.resource, namespace: access.namespace } }
        : { nonResourceAttributes: { verb: 'get', path: access.path } };
    const spec = { user: username, ...user, ...attributes };
    const { status } = await this.#review('authorization', 'SubjectAccessReview', spec);
    return status?.allowed === true && status.denied !== true;
  }

  async #review(group: string, kind: string, spec: object): Promise<ReviewBody> {
    const path = `/apis/${group}.k8s.io/v1/${kind.toLowerCase()}s`;
    const body = { apiVersion: `${group}.k8s.io/v1`, kind, spec };
    const response = await this.#api.request('POST', path, { body, timeoutMs: TIMEOUT_MS });
    if (response.status === 201 && isObject(response.body)) return response.body;
    throw new Error(`expected a ${kind}, found status ${response.status}: ${messageOf(response)}`);
  }
}

function isObject(value: unknown): value is ReviewBody {
  return typeof value === 'object' && value !== null;
}

function messageOf({ body }: ApiResponse): string {
  return isObject(body) && typeof body.message === 'string' ? body.message : 'no message';
}
