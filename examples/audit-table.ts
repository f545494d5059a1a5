import type { AuditEvent } from 'deputize'

/** Prints audit events as a table: what, who, for which provider, why. */
export function printAuditTrail(events: readonly AuditEvent[]): void {
  const rows = events.map((event) => {
    const fields = event as Partial<Record<string, unknown>> & AuditEvent
    const user = fields.user as { subject: string } | undefined
    const who = user?.subject ?? (fields.subject as string | undefined) ?? '–'
    const known = fields.userKnown ? ` (${fields.userKnown})` : ''
    const scopes = (fields.scopes as readonly string[] | undefined)?.join(' ') ?? ''
    const what = [fields.provider, fields.flow, scopes].filter(Boolean).join(' · ')
    return [event.type, `${who}${known}`, what, String(fields.reason ?? '')]
  })
  const head = ['event', 'for whom', 'what', 'why']
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const line = (cells: readonly string[]) =>
    `  ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd()
  console.log(line(head))
  console.log(line(widths.map((width) => '─'.repeat(width))))
  for (const row of rows) console.log(line(row))
}
