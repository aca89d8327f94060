/** AdmissionReviews: whatever the body, it is answered or refused, and a patch is one that completes the pod. */
import type { Hono } from 'hono';
import { manageResources } from '../../../src/core/objects/pod-template.ts';
import type { RawPod } from '../../../src/core/objects/raw-pod.ts';
import { completeMember, type MemberRules, type PatchOperation } from '../../../src/core/podgroup/new-member.ts';
import { ADMISSION_PATH, createAdmissionApp } from '../../../src/http/admission/admission.ts';
import { applyPatch } from '../../../src/sim/patches.ts';
import { createLogger } from '../../../src/telemetry/log.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { bytesOf, mutateBytes } from '../byte-mutation.ts';
import { recordedPods } from '../calls.ts';
import type { Dice } from '../dice.ts';
import { mutateJson } from '../json-mutation.ts';
import { type Arena, expectThat, type Target } from '../target.ts';

const RULES: MemberRules = {
  schedulerNames: ['default-scheduler'],
  isManaged: manageResources(['nvidia.com/gpu', 'nvidia.com/mig-*']),
};

/** As the API server writes them, of recorded pods, once without and once with what they request. */
const REVIEWS: readonly string[] = recordedPods().flatMap((pod) => {
  const spec = (pod as { readonly spec?: object }).spec;
  const plain = { ...pod, spec: { ...spec, containers: [{ name: 'main', resources: {} }] } };
  return [pod, plain].map((object) =>
    JSON.stringify({
      kind: 'AdmissionReview',
      apiVersion: 'admission.k8s.io/v1',
      request: {
        uid: 'b1c5c6c2-7c2c-4b5f-8a55-3c1d7b0a4c11',
        kind: { group: '', version: 'v1', kind: 'Pod' },
        operation: 'CREATE',
        object: { ...object, spec: { ...object.spec, nodeName: undefined } },
        oldObject: null,
      },
    }),
  );
});

export const admission: Target = {
  name: 'admission',
  about: 'AdmissionReviews',
  share: 8,
  checkEvery: 1_000,
  make: (dice) => [makeReview(dice)],
  open: async () => new AdmissionArena(),
};

function makeReview(dice: Dice): string {
  const bytes = bytesOf(mutateJson(dice.pick(REVIEWS), dice));
  return dice.once(4) ? mutateBytes(bytes, dice) : bytes;
}

class AdmissionArena implements Arena {
  readonly #app: Hono;
  readonly #errors: string[] = [];
  #time = 0;

  constructor() {
    this.#app = createAdmissionApp({
      complete: (pod) => this.#complete(pod),
      metrics: new Metrics(),
      log: createLogger({ verbosity: 9, now: () => 0, write: (line) => this.#note(line) }),
      // Each call has a second of its own.
      clock: { now: () => (this.#time += 1_000) },
    });
  }

  async play(piece: string): Promise<void> {
    const status = await this.#ask(Buffer.from(piece, 'latin1'));
    expectThat(status === 200 || status === 400, () => `expected 200 or 400, found ${status}`);
    expectThat(this.#errors.length === 0, () => `expected no error, found ${this.#errors[0]}`);
  }

  async check(): Promise<void> {
    const status = await this.#ask(Buffer.from(REVIEWS[0]!));
    expectThat(status === 200, () => `expected an honest review to be answered, found ${status}`);
  }

  async close(): Promise<void> {}

  async #ask(body: Buffer): Promise<number> {
    return (await this.#app.request(ADMISSION_PATH, { method: 'POST', body: new Uint8Array(body) })).status;
  }

  #note(line: string): void {
    if (line.includes('"level":"error"')) this.#errors.push(line);
  }

  #complete(pod: RawPod): readonly PatchOperation[] {
    const patch = completeMember(pod, true, RULES);
    const patched = applyPatch(pod, patch, 'application/json-patch+json') as RawPod;
    const again = completeMember(patched, true, RULES);
    expectThat(again.length === 0, () => `expected nothing to be missing, found ${JSON.stringify(again)}`);
    return patch;
  }
}
