/**
 * Ends one caller's waiting when its signal aborts. The task goes on: others may share it, and what it has begun it must
 * finish. Its failure is then nobody's.
 *
 * @throws The reason of the signal.
 */
export async function abortable<T>(
  task: Promise<T>,
  signal: AbortSignal | null | undefined,
): Promise<T> {
  if (!signal) return task
  task.catch(() => {})
  signal.throwIfAborted()
  // A signal of its own: Node warns of a leak where more than ten listeners wait at one signal.
  const own = AbortSignal.any([signal])
  let abort!: () => void
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(own.reason)
    own.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([task, aborted])
  } finally {
    own.removeEventListener('abort', abort)
  }
}
