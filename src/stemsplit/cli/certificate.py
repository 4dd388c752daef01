"""A certificate for ``serve --tls``, made anew each time: it is self-signed, so browsers ask once."""

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stemsplit.errors import SettingsError

_VALID: Final = datetime.timedelta(days=30)


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Make sure that both can be read and belong together.

        Raises
        ------
        SettingsError
            If not.
        """
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"--cert {self.certificate} and --key {self.key} cannot be used ({error}); "
                "name a certificate and its private key, both as PEM without a passphrase"
            ) from error

    @property
    def fingerprint(self) -> str:
        """Its SHA-256, as browsers show it."""
        certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def make_certificate(folder: Path, names: Sequence[str]) -> Certificate:
    """Write a certificate that is signed by itself, and its key, to `folder`.

    Parameters
    ----------
    folder
        Only this user may be able to read it.
    names
        Host names and addresses that it is for.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stemsplit")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName([_describe(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


def _describe(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
