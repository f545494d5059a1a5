/** What a callback page says. Fixed texts only: nothing of the request is ever shown. */
const pages = {
  done: [200, 'Connected', 'The connection is made. You can close this page and go back.'],
  denied: [
    200,
    'Not connected',
    'You did not agree, so nothing was connected. You can close this page.',
  ],
  failed: [502, 'Not connected', 'The connection could not be made. Go back and start again.'],
  expired: [
    410,
    'Too late',
    'This link was not finished in time or was used before. Go back and start again.',
  ],
  'wrong-user': [
    403,
    'Not your link',
    'This link was made for another user. Nothing was connected. If somebody sent it to you, tell them that it does not work, and do not trust it.',
  ],
  'sign-in': [
    401,
    'Sign in first',
    'Sign in to the application in this browser, then open the link again.',
  ],
  unknown: [404, 'Unknown link', 'There is no such link. Go back and start again.'],
  'unknown-here': [
    404,
    'Unknown link',
    'There is no such link in this process. The application keeps links in memory only: if it runs in several processes, or makes its credential provider several times, give them one vault with a store. Go back and start again.',
  ],
  invalid: [400, 'Broken link', 'This address is not complete. Go back and start again.'],
  method: [405, 'Not this way', 'Open this address in a browser.'],
  unavailable: [
    503,
    'Try again',
    'Something that is needed does not answer right now. Reload this page in a moment.',
  ],
} as const satisfies Record<string, readonly [number, string, string]>

/** Names a page. */
export type ConsentPage = keyof typeof pages

const headers = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/**
 * A plain page: no script, no style, no image, no text of anybody else.
 *
 * @param reference What the user can tell the operator, who finds it in the audit trail.
 */
export function consentPage(name: ConsentPage, reference?: string): Response {
  const [status, title, text] = pages[name]
  const known = reference === undefined ? '' : `<p>Reference: ${reference}</p>`
  const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body><h1>${title}</h1><p>${text}</p>${known}</body></html>`
  return new Response(html, {
    status,
    headers: status === 405 ? { ...headers, allow: 'GET' } : headers,
  })
}

/** How a consent ended, as the return URL says it. */
export type ReturnOutcome = 'connected' | 'denied' | 'failed' | 'expired'

/**
 * Sends the browser to a registered return URL, with the session's name and the outcome, and nothing else.
 *
 * @param outcome Absent while the code waits for `completeAuthorization()`.
 */
export function returnTo(returnUrl: string, sessionUri: string, outcome?: ReturnOutcome): Response {
  const url = new URL(returnUrl)
  url.searchParams.set('session', sessionUri)
  if (outcome !== undefined) url.searchParams.set('outcome', outcome)
  return new Response(null, {
    status: 303,
    headers: {
      location: url.href,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
    },
  })
}
