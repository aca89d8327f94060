/** Turns problems with keys under `muster.dev/` into text: what was expected, what was found, what to do. */
import { type KeyProblem, POD_GROUP_LABEL } from '../objects/keys.ts';
import { formatDuration } from '../objects/text-values.ts';
import type { IgnoredKey } from '../podgroup/ignored-keys.ts';

export function explainKeyProblem(problem: KeyProblem): string {
  switch (problem.kind) {
    case 'unknown-key': {
      const { key, meant, known } = problem;
      if (meant !== undefined) return `did you mean ${meant}? unknown key ${key}`;
      return `unknown key ${key}; expected muster.dev/ and one of ${known.join(', ')}`;
    }
    case 'misplaced-key':
      return `${problem.key} is ${
        problem.foundAs === 'label' ? 'a label, expected an annotation' : 'an annotation, expected a label'
      }; move it there`;
    case 'bad-value':
      return `${problem.key} expected ${problem.expected}, found "${problem.value}"`;
    default:
      return problem satisfies never;
  }
}

/** Says why the key does nothing. The text names no pod: those of one controller share it. */
export function explainIgnoredKey(ignored: IgnoredKey): string {
  switch (ignored.kind) {
    case 'needs-gang':
      return `${ignored.key} does nothing on a pod without a gang; add label ${POD_GROUP_LABEL} to the pod template, or remove it`;
    case 'on-job':
      return explainJobKey(ignored);
    case 'not-allowed': {
      const { key, queue, mostMs } = ignored;
      const what = mostMs > 0 ? `is cut to ${formatDuration(mostMs)}` : 'does nothing';
      return `${key} ${what}: queue ${queue} allows no more of it; its operator may (allowNonPreemptible, maxMinRuntime)`;
    }
    case 'other-scheduler': {
      const { key, schedulerName, ours } = ignored;
      const expected = `expected spec.schedulerName to be one of ${ours.slice(0, 8).join(', ')}, found "${schedulerName}"`;
      return `${key} does nothing here: ${expected}; change it, or list the name in schedulerNames of Muster's configuration`;
    }
    default:
      return `ignored: ${explainKeyProblem(ignored)}`;
  }
}

function explainJobKey({ key, meant, place }: IgnoredKey & { readonly kind: 'on-job' }): string {
  const found = `${key} is on the Job itself, where nothing reads it`;
  if (meant === undefined || place === undefined) return `ignored: ${found}; remove it`;
  const target = `spec.template.metadata.${place === 'label' ? 'labels' : 'annotations'}`;
  return meant === key ? `ignored: ${found}; write it in ${target}` : `did you mean ${meant} in ${target}? ${found}`;
}
