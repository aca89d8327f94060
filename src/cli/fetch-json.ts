/** Fetches JSON from a running Muster, with errors that say what to do. */
/** The part of the global `fetch` that is used. */
export type Fetch = (url: string, init?: { readonly headers: Readonly<Record<string, string>> }) => Promise<Response>;

/** How to recognize an answer from Muster rather than from another server. */
export interface Expected {
  /** For error messages, such as `a list of gangs`. */
  readonly what: string;
  /** Name of a field that must be a list. */
  readonly has: string;
}

/** Where to ask for what is in one namespace, or in all. */
export function addressOf(path: string, baseUrl: string, namespace: string | undefined): URL {
  const url = new URL(path, baseUrl);
  if (namespace !== undefined) url.searchParams.set('namespace', namespace);
  return url;
}

/** The same, with the credentials of a user. */
export function authorize(fetch: Fetch, authorization: string): Fetch {
  return (url) => fetch(url, { headers: { authorization } });
}

/**
 * Fetches JSON from a running Muster.
 * @throws Error that says what to do when there is no answer or not the expected one.
 */
export async function fetchJson<T>(fetch: Fetch, { href }: URL, { what, has }: Expected): Promise<T> {
  let response: Response;
  try {
    response = await fetch(href);
  } catch (cause) {
    throw new Error(`expected Muster to answer at ${href}, found ${reasonOf(cause)}; ${adviseOn(cause)}`, { cause });
  }
  const text = await response.text();
  if (!response.ok) {
    const advice = response.status === 401 ? `; ${WITHOUT_TOKEN}` : '';
    throw new Error(`expected ${href} to answer 200, found ${response.status}: ${text.trim().slice(0, 500)}${advice}`);
  }
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null || !Array.isArray((value as Record<string, unknown>)[has])) {
    throw new Error(`expected ${href} to answer ${what}, found something else; check that --url is a Muster`);
  }
  return value as T;
}

/** A client certificate is known to Muster only if its own CA signed it and its name is listed. */
const WITHOUT_TOKEN =
  'a user of a kubeconfig without a token asks as a service account (--service-account NAMESPACE/NAME), ' +
  'or with a certificate whose name is in server.callers.inspect (--cert, --key); with --url, --kubeconfig names the user';

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const UNKNOWN_CA: ReadonlySet<unknown> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** What to do when there is no answer. */
function adviseOn(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (UNKNOWN_CA.has(code)) {
    return 'give the file of the CA that signed its certificate (ca.crt) with --ca';
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'give a name of its certificate with --url, or make a certificate with this one';
  }
  return 'see that it runs; --url and --service say where';
}

/** fetch only says `fetch failed`; the cause has the reason. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return cause.message || ('code' in cause ? String(cause.code) : error.message);
}
