/** What the Worker at module scope is used for. */
export const uses = [
  'keys',
  'discovery',
  'introspection',
  'dpop',
  'sigv4',
  'sts',
  'm2m',
  'refresh',
  'refresh-with-waitUntil',
] as const

export type Use = (typeof uses)[number]
