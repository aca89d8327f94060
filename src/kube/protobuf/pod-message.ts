/**
 * Reads pods. What makes a template is most of a pod and the same for all pods of a workload, so its bytes stand for it:
 * they are compared as they are, and decoded once for each template.
 */
import { isPinned, type TemplateSource } from '../../core/objects/pod-projection.ts';
import type { RawPod } from '../../core/objects/raw-pod.ts';
import type { RawObject } from '../watch-stream.ts';
import { readMessage } from './message-shape.ts';
import { POD_ITSELF, POD_TEMPLATE } from './pod-shapes.ts';
import { TemplateKey } from './template-key.ts';
import { WireReader } from './wire-reader.ts';

/** What each pod has of its own, and where its template comes from. */
export interface PodMessage extends RawObject {
  readonly source: TemplateSource;
}

/** @throws Error when the bytes are no Pod. */
export function readPodMessage(bytes: Buffer): PodMessage {
  const pod = readMessage(new WireReader(bytes), bytes.length, POD_ITSELF) as RawPod & RawObject;
  const key = new TemplateKey(bytes).make(pod, isPinned(pod));
  const read = () => readMessage(new WireReader(bytes), bytes.length, POD_TEMPLATE) as RawPod;
  return { ...pod, source: { key, read } };
}
