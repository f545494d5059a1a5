/** The header that binds a signature to a server. */
export const SERVER_ID_HEADER = 'X-Deputize-Server-Id'
/** The header that names the user whom an IAM caller acts for. */
export const USER_ID_HEADER = 'X-Amzn-Bedrock-AgentCore-Runtime-User-Id'

/** @throws `TypeError` naming the option. */
export function checkHeaderValue(value: unknown, option: string): asserts value is string {
  const good =
    typeof value === 'string' &&
    value.length <= 1024 &&
    /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)
  if (!good) throw new TypeError(`${option} must be 1 to 1024 characters of visible ASCII.`)
}
