/** A body up to this size is read before it is sent, so that it can be sent again. */
const MAX_READ_AHEAD_BYTES = 1_048_576

/**
 * The body of a `Request`, which is a stream whatever it was made of. One that ends within 1 MiB becomes bytes: they can
 * be sent again, and have a length. A longer one stays a stream.
 *
 * @throws The reason of `signal`, when it aborts.
 */
export async function readAhead(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal | null | undefined,
): Promise<Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>> {
  const reader = stream.getReader()
  const parts: Uint8Array[] = []
  const stop = () => void reader.cancel(signal?.reason).catch(() => {})
  signal?.addEventListener('abort', stop, { once: true })
  if (signal?.aborted) stop()
  try {
    for (let size = 0; size <= MAX_READ_AHEAD_BYTES; ) {
      const { done, value } = await reader.read()
      signal?.throwIfAborted()
      if (done) return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer())
      parts.push(value)
      size += value.length
    }
  } finally {
    signal?.removeEventListener('abort', stop)
  }
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const part = parts.shift()
      const { done, value } = part ? { done: false, value: part } : await reader.read()
      if (done) controller.close()
      else controller.enqueue(value as Uint8Array)
    },
    cancel: (reason) => reader.cancel(reason),
  })
}
