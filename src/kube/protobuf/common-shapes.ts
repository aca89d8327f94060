/**
 * Field numbers of what many kinds have, as far as it is read. Source: k8s.io/apimachinery v0.37.2
 * pkg/apis/meta/v1/generated.proto, pkg/runtime/generated.proto; k8s.io/api v0.37.2 core/v1/generated.proto. A released
 * number never changes its meaning.
 */
import { flag, list, one, shapeOf, text, textKept, textMap, texts, time, whole } from './message-shape.ts';

const OWNER = shapeOf({
  1: textKept('kind'),
  3: textKept('name'),
  4: textKept('uid'),
  5: textKept('apiVersion'),
  6: flag('controller'),
});

/** ObjectMeta. @param isRead annotations whose values are read; all unless given. */
export const metadataShape = (isRead?: (annotation: string) => boolean) =>
  shapeOf({
    1: text('name'),
    3: text('namespace'),
    5: text('uid'),
    6: text('resourceVersion'),
    8: time('creationTimestamp'),
    9: time('deletionTimestamp'),
    11: textMap('labels'),
    12: textMap('annotations', isRead),
    13: list('ownerReferences', OWNER),
    14: texts('finalizers'),
  });

export const METADATA = metadataShape();

/** What tells which object it is, and the mark of the bookmark that ends the initial events. */
export const IDENTITY = shapeOf({
  1: one(
    'metadata',
    shapeOf({
      1: text('name'),
      3: text('namespace'),
      5: text('uid'),
      6: text('resourceVersion'),
      12: textMap('annotations', (key) => key === 'k8s.io/initial-events-end'),
    }),
  ),
});

/** Status, which an ERROR event carries. */
export const STATUS = shapeOf({ 3: text('message'), 6: whole('code') });

/** ListMeta. */
export const LIST_METADATA = shapeOf({ 2: text('resourceVersion'), 3: text('continue') });

const REQUIREMENT = shapeOf({ 1: textKept('key'), 2: textKept('operator'), 3: texts('values') });

export const LABEL_SELECTOR = shapeOf({ 1: textMap('matchLabels'), 2: list('matchExpressions', REQUIREMENT) });

export const NODE_TERM = shapeOf({ 1: list('matchExpressions', REQUIREMENT), 2: list('matchFields', REQUIREMENT) });
