import type { NatsConnection } from '@nats-io/transport-node';
import type { Meter } from '@opentelemetry/api';
import { logReading, type NatsMonitor } from '../nats-monitor.ts';

/** Whether this process is connected to NATS, and how often it had to connect again. */
export function meterConnection(meter: Meter, connection: NatsConnection, connected: () => boolean): void {
  meter
    .createObservableGauge('jetledger.nats.connected', { description: '1 while connected to NATS, else 0' })
    .addCallback((result) => result.observe(connected() ? 1 : 0));
  const reconnects = meter.createCounter('jetledger.nats.reconnects', {
    description: 'How often the connection to NATS was lost and made again',
  });
  reconnects.add(0);
  void (async () => {
    // Ends when the connection is closed.
    for await (const status of connection.status()) if (status.type === 'reconnect') reconnects.add(1);
  })();
}

/** What the servers say on their monitoring endpoints; nothing where none is known. */
export function meterNatsServers(meter: Meter, monitor: NatsMonitor): void {
  if (monitor.endpoints === 0) return;
  const gauge = (name: string, description: string, unit = '') =>
    meter.createObservableGauge(`jetledger.nats.${name}`, { description, unit });
  const storage = gauge('server.storage', 'Storage in use by JetStream', 'By');
  const limit = gauge('server.storage.limit', 'Storage that JetStream may use', 'By');
  const memory = gauge('server.memory', 'Memory of the server process', 'By');
  const slow = gauge('server.slow_consumers', 'Clients that could not keep up, since the server started');
  const cpu = gauge('server.cpu.percent', 'Processor use of the server, 100 = one core');
  const sync = gauge('server.sync_always', '1 when the server syncs before it acknowledges, else 0');
  const leader = gauge('log.has_leader', '1 when the log has a leader, else 0');
  const current = gauge('log.replicas_current', 'Copies of the log that are up to date');
  meter.addBatchObservableCallback(
    (result) => {
      const readings = monitor.latest();
      for (const reading of readings) {
        const labels = { server: reading.server };
        result.observe(storage, reading.storageBytes, labels);
        result.observe(limit, reading.storageLimitBytes, labels);
        result.observe(memory, reading.memoryBytes, labels);
        result.observe(slow, reading.slowConsumers, labels);
        result.observe(cpu, reading.cpuPercent, labels);
        result.observe(sync, reading.syncAlways ? 1 : 0, labels);
      }
      const log = logReading(readings);
      if (log === undefined) return;
      result.observe(leader, log.leader === undefined ? 0 : 1);
      result.observe(current, log.current);
    },
    [storage, limit, memory, slow, cpu, sync, leader, current],
  );
}
