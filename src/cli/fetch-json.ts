/** The part of the global `fetch` that is needed. */
export type Fetch = (url: string) => Promise<Response>;

/** How the answer is told from that of another server. */
export interface Expected {
  /** In words. */
  readonly what: string;
  /** A field that is a list. */
  readonly has: string;
}

/** Asks a running Muster; throws an Error that says what to do when it does not answer with what is expected. */
export async function fetchJson<T>(fetch: Fetch, { href }: URL, { what, has }: Expected): Promise<T> {
  let response: Response;
  try {
    response = await fetch(href);
  } catch (cause) {
    throw new Error(
      `expected Muster to answer at ${href}, found ${reasonOf(cause)}; ` +
        'give its address with --url, after kubectl port-forward if it runs in a cluster',
      { cause },
    );
  }
  const text = await response.text();
  if (!response.ok) {
    throw new Error(`expected ${href} to answer 200, found ${response.status}: ${text.trim().slice(0, 500)}`);
  }
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null || !Array.isArray((value as Record<string, unknown>)[has])) {
    throw new Error(`expected ${href} to answer ${what}, found something else; check that --url is a Muster`);
  }
  return value as T;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** fetch says `fetch failed`; the cause says why. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return cause.message || ('code' in cause ? String(cause.code) : error.message);
}
