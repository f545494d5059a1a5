/** A store with real compare-and-set that a parent process serves to its children over IPC. */
import type { ChildProcess } from 'node:child_process'
import { memoryStore, type VaultRow, type VaultStore } from 'deputize'

interface Call {
  readonly kind: 'store'
  readonly id: number
  readonly method: 'get' | 'put' | 'delete'
  readonly row: string
  readonly value?: WireRow | undefined
  readonly replaces?: number | undefined
}

interface Answer {
  readonly kind: 'store'
  readonly id: number
  readonly result?: unknown
}

type WireRow = Omit<VaultRow, 'sealed'> & { readonly sealed: string }

const toWire = (row: VaultRow): WireRow => ({
  ...row,
  sealed: Buffer.from(row.sealed).toString('base64'),
})
const fromWire = (row: WireRow): VaultRow => ({
  ...row,
  sealed: new Uint8Array(Buffer.from(row.sealed, 'base64')),
})

/** In the parent: answers the child's calls from `store`. */
export function serveStore(child: ChildProcess, store: VaultStore = memoryStore()): void {
  child.on('message', async (message: Call) => {
    if (message.kind !== 'store') return
    const { id, method, row, value, replaces } = message
    let result: unknown
    if (method === 'get') {
      const found = await store.get(row)
      result = found && toWire(found)
    } else if (method === 'put') {
      result = await store.put(
        row,
        fromWire(value!),
        replaces === undefined ? undefined : { replaces },
      )
    } else {
      await store.delete(row)
    }
    if (child.connected) child.send({ kind: 'store', id, result } satisfies Answer)
  })
}

/** In the child: a store whose rows are the parent's. */
export function storeOfParent(): VaultStore {
  let last = 0
  const waiting = new Map<number, (result: unknown) => void>()
  process.on('message', (message: Answer) => {
    if (message.kind !== 'store') return
    waiting.get(message.id)?.(message.result)
    waiting.delete(message.id)
  })
  const call = (rest: Omit<Call, 'kind' | 'id'>) =>
    new Promise<unknown>((resolve) => {
      const id = ++last
      waiting.set(id, resolve)
      process.send!({ kind: 'store', id, ...rest } satisfies Call)
    })
  return {
    async get(row) {
      const found = (await call({ method: 'get', row })) as WireRow | undefined
      return found && fromWire(found)
    },
    async put(row, value, options) {
      const replaces = options?.replaces
      return (await call({ method: 'put', row, value: toWire(value), replaces })) as boolean
    },
    async delete(row) {
      await call({ method: 'delete', row })
    },
    async scan() {
      return { ids: [] }
    },
  }
}
