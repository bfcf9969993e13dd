"""DesiredState x Snapshot -> Plan. Pure."""
