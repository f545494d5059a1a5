/**
 * Ends after about `ms`: half to one and a half times as long, so that many who wait do not come at once.
 *
 * @param isIdle Does not keep the process from ending.
 */
export function pause(ms: number, isIdle = false): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms * (0.5 + Math.random()))
    if (isIdle) (timer as { unref?: () => void }).unref?.()
  })
}
