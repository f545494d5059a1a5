/** The time now, in milliseconds since the epoch. Tests pass their own. */
export type Clock = () => number

export const SECOND_MS = 1_000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

/** The machine's wall clock. */
export const systemClock: Clock = () => Date.now()
