"""How do the servers that a user names become logins?"""

from providers.base import ServerLogin, TransportSecurity


def server_login(*, host: str, port: int, security: str, username: str, password: str) -> ServerLogin:
    """`security`: TLS, STARTTLS or PLAIN."""
    return ServerLogin(host, port, TransportSecurity(security), username, password)
