package sockjs

// Count is how many sessions there are.
func (c *Carrier) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

// ParseMessages is parseMessages, for its fuzz test.
var ParseMessages = parseMessages

// AppendString is appendString, for its fuzz test.
var AppendString = appendString
