/** How a text would look in a dump: as it is, and as encodings show it, base64 at every alignment. */
export function spellings(text: string): string[] {
  const bytes = Buffer.from(text)
  const shifted = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(shift === 0 ? 0 : 4)
      .replace(/.{4}$/, ''),
  )
  return [
    text,
    encodeURIComponent(text),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    ...shifted,
    ...shifted.map((part) => part.replaceAll('+', '-').replaceAll('/', '_')),
    bytes.toString('utf16le'),
  ]
}
