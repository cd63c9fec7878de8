package native

import "tocsin/transports"

// NewEncoder gives tests the encoder alone.
func NewEncoder(conn Conn) transports.Encoder { return &encoder{conn: conn} }
