package native

import "tocsin/transports"

// NewEncoder gives tests the encoder alone.
func NewEncoder(conn transports.Conn) transports.Encoder { return &encoder{conn: conn} }
