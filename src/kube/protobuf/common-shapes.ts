/**
 * Field numbers of what many kinds have, as far as it is read. Source: k8s.io/apimachinery v0.37.2
 * pkg/apis/meta/v1/generated.proto, pkg/runtime/generated.proto; k8s.io/api v0.37.2 core/v1/generated.proto. A released
 * number never changes its meaning.
 */
import {
  flag,
  list,
  messageShape,
  one,
  ownText,
  text,
  textKept,
  textMap,
  texts,
  time,
  whole,
} from './message-shape.ts';

const OWNER = messageShape({
  1: textKept('kind'),
  3: textKept('name'),
  4: textKept('uid'),
  5: textKept('apiVersion'),
  6: flag('controller'),
});

/** ObjectMeta. @param isRead annotations whose values are read; all unless given. */
export const metadataShape = (isRead?: (annotation: string) => boolean) =>
  messageShape({
    1: ownText('name'),
    3: text('namespace'),
    5: ownText('uid'),
    6: ownText('resourceVersion'),
    8: time('creationTimestamp'),
    9: time('deletionTimestamp'),
    11: textMap('labels'),
    12: textMap('annotations', isRead),
    13: list('ownerReferences', OWNER),
    14: texts('finalizers'),
  });

export const METADATA = metadataShape();

/** What tells which object it is, and the mark of the bookmark that ends the initial events. */
export const IDENTITY = messageShape({
  1: one(
    'metadata',
    messageShape({
      1: text('name'),
      3: text('namespace'),
      5: text('uid'),
      6: text('resourceVersion'),
      12: textMap('annotations', (key) => key === 'k8s.io/initial-events-end'),
    }),
  ),
});

/** Status, which an ERROR event carries. */
export const STATUS = messageShape({ 3: text('message'), 6: whole('code') });

/** ListMeta. */
export const LIST_METADATA = messageShape({ 2: text('resourceVersion'), 3: text('continue') });

const REQUIREMENT = messageShape({ 1: textKept('key'), 2: textKept('operator'), 3: texts('values') });

export const LABEL_SELECTOR = messageShape({ 1: textMap('matchLabels'), 2: list('matchExpressions', REQUIREMENT) });

export const NODE_TERM = messageShape({
  1: list('matchExpressions', REQUIREMENT),
  2: list('matchFields', REQUIREMENT),
});
