/** Everything that is attacked, in the order in which it is attacked. */
import type { Target } from './target.ts';
import { admission } from './targets/admission.ts';
import { configuration } from './targets/configuration.ts';
import { gangKeys, queueObjects, sources } from './targets/gangs.ts';
import { httpApp, httpServer } from './targets/http.ts';
import { protobufWatch } from './targets/protobuf-watch.ts';
import { socket } from './targets/socket.ts';
import { watch } from './targets/watch.ts';

export const targets: readonly Target[] = [
  httpApp,
  httpServer,
  socket,
  watch,
  protobufWatch,
  gangKeys,
  sources,
  queueObjects,
  configuration,
  admission,
];
