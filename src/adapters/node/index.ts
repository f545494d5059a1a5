export { type LoopbackCallback, loopbackCallback } from './loopback-callback.js'
export { type FetchHandler, nodeHandler } from './node-handler.js'
export { rawRequest } from './raw-request.js'
