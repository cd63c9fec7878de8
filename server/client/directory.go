package client

import "context"

// A Report says what the server made of lines of the directory. Its zero value
// is no lines.
type Report struct {
	Lines    int `json:"lines"`
	Devices  int `json:"devices"`
	Users    int `json:"users"`
	Changed  int `json:"changed"`
	Rejected int `json:"rejected"`
	// Refused are the first of the rejected lines.
	Refused []Refusal `json:"refused,omitempty"`
}

// A Refusal says why a line was refused; the lines of a call count from 1.
type Refusal struct {
	Line   int    `json:"line"`
	Detail string `json:"detail"`
}

// Add adds the counts of another report, not its refusals.
func (r *Report) Add(other Report) {
	r.Lines += other.Lines
	r.Devices += other.Devices
	r.Users += other.Users
	r.Changed += other.Changed
	r.Rejected += other.Rejected
}

// Directory sends lines of the directory, {"device","groups"} or
// {"user","groups"}. Sending them again changes nothing.
func (c *Client) Directory(ctx context.Context, lines [][]byte) (Report, error) {
	var answer Report
	err := c.post(ctx, "/v1/directory", "", lines, &answer)
	return answer, err
}

// DirectoryRetrying is Directory, repeated while the server is away.
func (c *Client) DirectoryRetrying(ctx context.Context, lines [][]byte, r Retry) (report Report, err error) {
	err = r.do(ctx, func() error {
		report, err = c.Directory(ctx, lines)
		return err
	})
	return report, err
}
