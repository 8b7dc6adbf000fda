/** Another process listens on the HTTP port. */
export class HttpPortTaken extends Error {
  constructor(port: number) {
    super(
      `Port ${port} is taken. Stop what listens there, or choose another one: JETLEDGER_HTTP__PORT=${port + 1}`,
    );
    this.name = 'HttpPortTaken';
  }
}

/** A service has ended before it answered; its own lines say why. */
export class ServiceEnded extends Error {
  constructor(how: string) {
    super(`a service has ended before it answered (${how}); its lines above say why`);
    this.name = 'ServiceEnded';
  }
}
