/** How the commands that judge a cluster read it: page by page, and what the user may not see is a fact, too. */
import type { Fact } from '../doctor/finding.ts';
import type { ApiClient } from '../kube/client.ts';

const PAGE = 500;

/** Where nobody answers there is nothing to judge. @throws Error that says so. */
export async function expectAnswer(api: ApiClient, server: string): Promise<void> {
  try {
    await api.request('GET', '/version');
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    throw new Error(
      `expected the API server to answer at ${server}, found ${found}; name the cluster with --kubeconfig`,
      {
        cause: error,
      },
    );
  }
}

/** What fails is unknown. */
export async function lookAt<T>(about: string, read: () => Promise<T>): Promise<Fact<T>> {
  try {
    return { kind: 'known', value: await read() };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { kind: 'unknown', about, why, fix: 'ask as a user who may see it (--kubeconfig)' };
  }
}

/** @throws Error with what the API server said instead. */
export async function readObject<T>(api: ApiClient, path: string): Promise<T> {
  const { status, body } = await api.request('GET', path);
  if (status === 200) return body as T;
  const { message } = (body ?? {}) as { readonly message?: string };
  throw new Error(`expected the API server to show ${path}, found ${status}: ${message ?? 'no message'}`);
}

/** Page by page, so that a large cluster is not one answer. */
export async function listObjects<T>(api: ApiClient, path: string): Promise<readonly T[]> {
  const items: T[] = [];
  let token = '';
  do {
    const query = new URLSearchParams({ limit: String(PAGE), ...(token !== '' && { continue: token }) });
    const page = await readObject<{
      readonly items?: readonly T[];
      readonly metadata?: { readonly continue?: string };
    }>(api, `${path}?${query}`);
    for (const item of page.items ?? []) items.push(item);
    token = page.metadata?.continue ?? '';
  } while (token !== '');
  return items;
}
