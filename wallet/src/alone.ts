/**
 * One at a time, across tabs.
 * Promises: work under the same name never overlaps in this browser (Web Locks); where the browser has none, not within this tab.
 * Keeps: nothing. Refuses: nothing.
 */
const queues = new Map<string, Promise<unknown>>();

export async function alone<T>(name: string, work: () => Promise<T>): Promise<T> {
  const locks = (globalThis.navigator as Navigator | undefined)?.locks as LockManager | undefined;
  if (locks) return (await locks.request(name, work)) as T;
  const turn = (queues.get(name) ?? Promise.resolve()).then(work, work);
  const settled = turn.catch(() => undefined);
  queues.set(name, settled);
  try {
    return await turn;
  } finally {
    if (queues.get(name) === settled) queues.delete(name);
  }
}
