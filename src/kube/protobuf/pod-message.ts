/**
 * Reads pods. What makes a template is most of a pod and the same for all pods of a workload, so its bytes stand for it:
 * they are compared as they are, and decoded once for each template.
 */
import type { TemplateSource } from '../../core/objects/pod-projection.ts';
import type { RawPod } from '../../core/objects/raw-pod.ts';
import type { RawObject } from '../watch-stream.ts';
import { readMessage } from './message-shape.ts';
import { POD_ITSELF, POD_TEMPLATE } from './pod-shapes.ts';
import { TemplateKey } from './template-key.ts';
import type { WireReader } from './wire-reader.ts';

/** What each pod has of its own, and where its template comes from. */
export interface PodMessage extends RawObject {
  readonly source: TemplateSource;
}

/** @throws Error when there is no Pod from the cursor to `end`. */
export function readPodMessage(reader: WireReader, end: number): PodMessage {
  const start = reader.pos;
  const pod = readMessage(reader, end, POD_ITSELF) as RawPod & RawObject;
  reader.pos = start;
  const key = new TemplateKey(reader).make(pod, end);
  const read = () => {
    reader.pos = start;
    return readMessage(reader, end, POD_TEMPLATE) as RawPod;
  };
  return { ...pod, source: { key, read } };
}
