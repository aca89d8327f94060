/**
 * The cluster in a real API server: etcd is filled with what kube-apiserver would have written, so that 50,000 pods take
 * a minute and no admission, and Muster starts against it with the rights of deploy/rbac.yaml.
 */
import { installMuster } from '../../test/e2e/cluster/control-plane.ts';
import { type Programs, startPrograms } from '../../test/e2e/cluster/programs.ts';
import type { Size } from './sizes.ts';
import { listBatches } from './vast-cluster.ts';
import { listEntries } from './vast-encoder.ts';

/** The most that etcd takes in one transaction. */
const ENTRIES_AT_ONCE = 128;
const SENDERS = 4;
/** They would remove pods whose owners they do not know, and nodes without a kubelet. */
const UNWANTED: ReadonlySet<string> = new Set(['kube-controller-manager', 'kwok']);

export interface RealPlane {
  readonly port: number;
  readonly kubeconfig: string;
  stop(): Promise<void>;
}

export async function openRealPlane(size: Size): Promise<RealPlane> {
  const programs = await startPrograms();
  try {
    for (const program of programs.all) if (UNWANTED.has(program.name)) await program.kill();
    await installMuster(programs.api, { admissionPolicy: true, recordPolicies: true });
    await fill(programs, size);
  } catch (error) {
    await programs.stop();
    throw error;
  }
  return {
    port: Number(new URL(programs.url).port),
    kubeconfig: programs.kubeconfigOf('muster'),
    stop: () => programs.stop(),
  };
}

async function fill({ etcdUrl }: Programs, size: Size): Promise<void> {
  const transactions = listTransactions(size);
  await Promise.all(
    Array.from({ length: SENDERS }, async () => {
      for (const body of transactions) {
        const response = await fetch(`${etcdUrl}/v3/kv/txn`, { method: 'POST', body });
        if (!response.ok) throw new Error(`expected etcd to take the objects, found ${await response.text()}`);
        await response.arrayBuffer();
      }
    }),
  );
}

/** Bodies for etcd's own JSON gateway, made while they are sent. */
function* listTransactions(size: Size): Generator<string> {
  let success: object[] = [];
  for (const batch of listBatches(size)) {
    for (const [key, value] of listEntries(batch)) {
      success.push({ requestPut: { key: Buffer.from(key).toString('base64'), value: value.toString('base64') } });
      if (success.length < ENTRIES_AT_ONCE) continue;
      yield JSON.stringify({ success });
      success = [];
    }
  }
  if (success.length > 0) yield JSON.stringify({ success });
}
