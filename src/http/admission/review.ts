/**
 * The bodies that the API server and a webhook exchange (k8s.io/api admission/v1, AdmissionReview). The API server has
 * checked the pod, but whoever reaches the port may have sent anything.
 */
import type { RawPod } from '../../core/objects/raw-pod.ts';
import type { PatchOperation } from '../../core/podgroup/new-member.ts';
import { checkPod } from '../extender/pod-shape.ts';
import { expectObject } from '../extender/wire.ts';
import { describeFound, isPlainName, WireError } from '../extender/wire-values.ts';

const API_VERSION = 'admission.k8s.io/v1';
const KIND = 'AdmissionReview';

export interface AdmissionCall {
  /** Names the call; the answer repeats it. */
  readonly uid: string;
  /** Undefined: it is about something else than the creation of a pod. */
  readonly pod: RawPod | undefined;
}

/** @throws WireError when the body is no AdmissionReview with a request, or its pod is none. */
export function readReview(body: unknown): AdmissionCall {
  const review = expectObject(body, 'a request body');
  if (review.apiVersion !== API_VERSION || review.kind !== KIND) {
    throw new WireError(
      `expected an ${KIND} of ${API_VERSION}, found kind ${describeFound(review.kind)} of ` +
        `${describeFound(review.apiVersion)}; admissionReviewVersions of the webhook must be [v1]`,
    );
  }
  const request = expectObject(review.request, 'request');
  const { uid, operation, subResource = '', object } = request;
  if (!isPlainName(uid)) throw new WireError(`expected request.uid to be a UID, found ${describeFound(uid)}`);
  const { group, version, kind } = expectObject(request.kind, 'request.kind');
  const isPod = group === '' && version === 'v1' && kind === 'Pod';
  if (!isPod || operation !== 'CREATE' || subResource !== '') return { uid, pod: undefined };
  const pod = expectObject(object, 'request.object');
  checkPod(pod);
  return { uid, pod };
}

/** The answer: the pod is created in any case, with the patch if there is one. */
export function writeReview(uid: string, patch: readonly PatchOperation[]): string {
  const change = { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') };
  const response = { uid, allowed: true, ...(patch.length > 0 && change) };
  return JSON.stringify({ apiVersion: API_VERSION, kind: KIND, response });
}
