/**
 * The longest stretch of a case that may keep the event loop busy, milliseconds. CPU time is measured for it: it bounds
 * the stretch, and does not grow with the load of the machine.
 */
export const STALL_MS = 250;
