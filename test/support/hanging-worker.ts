/**
 * A background thread that begins a task and then says nothing any more.
 */
import { threadPort } from '../../src/base/node-thread.ts'
import { serveTasks } from '../../src/base/task-messages.ts'
import type { StoreTasks } from '../../src/store-worker.ts'

function hang(): never {
  for (;;);
}

serveTasks<StoreTasks>(threadPort(), { clean: hang, map: hang, seal: hang, whole: hang })
