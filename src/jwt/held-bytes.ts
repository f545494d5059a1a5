/**
 * What V8 keeps for parsed JSON, in bytes, rounded up; measured with 8-byte pointers. Frozen or not is about the same. An
 * object of a shape that no other has brings a hidden class, and a name that no other has is a string of its own.
 */
const OBJECT_BYTES = 128
const MEMBER_BYTES = 88
const ARRAY_BYTES = 48
const ITEM_BYTES = 8
const STRING_BYTES = 24
const DOUBLE_BYTES = 16

/** How much memory a parsed JSON value holds, as an upper bound. Its depth was limited when it was parsed. */
export function heldBytes(value: unknown): number {
  if (typeof value === 'string') return STRING_BYTES + bytesOfText(value)
  if (typeof value === 'number') return isSmall(value) ? 0 : DOUBLE_BYTES
  if (typeof value !== 'object' || value === null) return 0
  if (Array.isArray(value)) {
    let bytes = ARRAY_BYTES + ITEM_BYTES * value.length
    for (let at = 0; at < value.length; at++) bytes += heldBytes(value[at])
    return bytes
  }
  const members = value as Record<string, unknown>
  let bytes = OBJECT_BYTES
  for (const name in members) bytes += MEMBER_BYTES + name.length + heldBytes(members[name])
  return bytes
}

/** One character above Latin-1 makes all characters of a string take two bytes. */
function bytesOfText(text: string): number {
  return /[^\0-\xff]/.test(text) ? 2 * text.length : text.length
}

/** Whether a number lies in its slot, and needs no memory beside it. */
function isSmall(value: number): boolean {
  return (value | 0) === value && !Object.is(value, -0)
}
