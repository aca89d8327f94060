/** Refusals of the API server, with the statuses, reasons and texts of kube-apiserver v1.37.2. */

export interface RefusalCause {
  readonly reason?: string;
  readonly message?: string;
  readonly field?: string;
}

/** A request that the API server rejected. Thrown in-process; sent as a `Status` object over HTTP. */
export class ApiRefusal extends Error {
  /** HTTP status. */
  readonly status: number;
  /** Machine-readable, e.g. `NotFound`. */
  readonly reason: string;
  readonly causes: readonly RefusalCause[];

  constructor(status: number, reason: string, message: string, causes: readonly RefusalCause[] = []) {
    super(message);
    this.name = 'ApiRefusal';
    this.status = status;
    this.reason = reason;
    this.causes = causes;
  }
}

/** `resource` as it appears in the messages: `pods`, `jobs.batch`. */
export function notFound(resource: string, name: string): ApiRefusal {
  return new ApiRefusal(404, 'NotFound', `${resource} "${name}" not found`);
}

export function alreadyExists(resource: string, name: string): ApiRefusal {
  return new ApiRefusal(409, 'AlreadyExists', `${resource} "${name}" already exists`);
}

export function conflict(resource: string, name: string, why: string): ApiRefusal {
  return new ApiRefusal(409, 'Conflict', `Operation cannot be fulfilled on ${resource} "${name}": ${why}`);
}

/** A precondition on the UID does not hold: the object was recreated under the same name. */
export function foreignUid(resource: string, name: string, expected: string, found: string): ApiRefusal {
  const mismatch = `the UID in the precondition (${expected}) does not match the UID in record (${found})`;
  return conflict(resource, name, `${mismatch}. The object might have been deleted and then recreated`);
}

export function badRequest(message: string): ApiRefusal {
  return new ApiRefusal(400, 'BadRequest', message);
}

/** A 422: one field is invalid. The message starts with the kind of problem, e.g. `Forbidden: …` or `Required …`. */
export function invalid(kind: string, name: string, field: string, message: string): ApiRefusal {
  const problem = /^(Forbidden|Required)/.exec(message)?.[1] ?? 'Invalid';
  const causes = [{ reason: `FieldValue${problem}`, message, field }];
  return new ApiRefusal(422, 'Invalid', `${kind} "${name}" is invalid: ${field}: ${message}`, causes);
}
