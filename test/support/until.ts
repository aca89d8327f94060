/** Waits for a condition, polling every few milliseconds. Throws after `seconds` with `what` in the message. */
export async function until(what: string, condition: () => boolean, seconds = 10): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`expected within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
